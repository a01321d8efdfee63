"""What belongs to no one part: files, configs, registries, command lines, other libraries."""
