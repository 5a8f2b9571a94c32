"""What the services of a stack ask of a host: GPUs, memory, ports."""
