"""Search spaces shipped with the project, as YAML files."""
