"""The embedded lab: four small hosts with a database, a cache, an object store and an API, on loopback, in one folder."""
