"""Ray Serve's experimental request routers."""
