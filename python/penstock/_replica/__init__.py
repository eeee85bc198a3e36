"""The replica's process: user code in Python behind the native runtime.

``host`` carries out the agent's steps, ``method`` knows how a method is to be called, ``invoke``
runs requests, ``http`` turns requests and results into HTTP.
"""
