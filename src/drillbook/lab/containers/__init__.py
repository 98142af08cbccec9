"""The Docker lab: the document platform on Docker Compose, from the files of the project's folder ``lab/``."""
