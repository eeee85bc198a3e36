"""The process of an autoscaling policy: code of the user's that says how many replicas there are to be."""
