"""The Docker lab: the document platform as a Docker Compose project, made from the files of the project's folder `lab/`.

Lives here: images, settings and ports of the Docker lab, and starting and stopping it.
Lives elsewhere: code shared by both labs (`lab`), actions on containers (`systems.docker`).
"""
