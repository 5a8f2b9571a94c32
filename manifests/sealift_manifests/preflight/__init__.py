"""What a bundle asks of a GPU host, what a host is, and what is wrong between them.

Pure: values in, findings out. Reading a host is the installer's, reading images and
models is the bundler's; both sides decide with this code.
"""
