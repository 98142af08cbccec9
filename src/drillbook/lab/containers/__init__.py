"""The Docker lab: the document platform on Docker Compose, from the files of the project's folder `lab/`.

Lives here: its images, its settings, its ports, bringing it up and down.
Lives elsewhere: what both labs share (`lab`), actions on containers (`systems.docker`).
"""
