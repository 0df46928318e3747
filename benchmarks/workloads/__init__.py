"""What the library does, as contenders; what all workloads of JAX share."""
