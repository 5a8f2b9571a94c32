"""The container engine of the connected side: build images there, take images out."""
