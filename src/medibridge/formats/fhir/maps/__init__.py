"""The maps from the other versions of FHIR to R4, as data. `formats.fhir.mapping` reads them."""
