"""The firmware's C sources, and images of it that were built already; hwsdk.hil.firmware finds and builds them."""
