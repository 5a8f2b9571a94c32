"""What a Compose service asks of a host, read off what stands in its file."""
