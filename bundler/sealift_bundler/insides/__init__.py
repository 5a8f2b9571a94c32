"""What lies inside an image: read from its layers while they stream by."""
