"""Evidence from real fixes: releases of real packages, each replayed against the one before it, through learnd."""
