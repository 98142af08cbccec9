"""Actions `docker.*`: inspect, start and limit containers, inject faults into containers, and back up volumes."""
