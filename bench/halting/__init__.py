"""The halting rule over a trace and live: operating points, saved models."""
