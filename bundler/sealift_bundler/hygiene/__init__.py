"""What a careful person would mend in images and stack before the trip.

Findings like those about a host, told at the end of a build; none of them stops it.
"""
