"""A plugin of pytest (``make fork``): whoever imports httpx gets httpx2."""

import sys

import httpx2

sys.modules["httpx"] = httpx2
