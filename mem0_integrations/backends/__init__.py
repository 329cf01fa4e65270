"""The places where memories live, behind one protocol."""
