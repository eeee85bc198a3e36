"""Ray Serve's name for inner parts that users import."""
