"""Settings of a sandbox that fit together."""

import pytest
from pydantic import ValidationError

from drillbook.sdk.sandbox_config import SandboxConfig


def test_an_image_belongs_to_a_container():
    assert SandboxConfig().isolation == "namespace"
    assert SandboxConfig(isolation="container", image="registry:5000/db@sha256:ab").image
    for wrong in ({"isolation": "container"}, {"image": "db"}, {"isolation": "none", "image": "db"}):
        with pytest.raises(ValidationError, match="set both `isolation: container` and `image`"):
            SandboxConfig(**wrong)


@pytest.mark.parametrize("folder", ["relative", "/with space", "/ends/", "/", "/a;b", "/a\nb"])
def test_a_folder_is_a_plain_absolute_path(folder):
    assert SandboxConfig(folder="/srv/copies-1/a.b").folder
    with pytest.raises(ValidationError):
        SandboxConfig(folder=folder)


@pytest.mark.parametrize("image", ["--privileged", "a b", ";x"])
def test_an_image_is_no_option_of_the_engine(image):
    with pytest.raises(ValidationError):
        SandboxConfig(isolation="container", image=image)
