"""GitHub and GitLab: the comment on a pull request that shows a plan, and those of other pull requests.

``sticky.py`` decides, and is pure; ``review.py`` tells from the environment which pull request this is;
``client.py`` asks and writes; ``posting.py`` is the way through all of them.
"""
