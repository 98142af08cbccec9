"""The Docker lab: a document API with its servers, as a Docker Compose project made from the files in the folder `lab/`.

Lives here: images, settings and ports of the Docker lab, and starting and stopping it.
Lives elsewhere: code shared by both labs (`lab`), actions on containers (`systems.docker`).
"""
