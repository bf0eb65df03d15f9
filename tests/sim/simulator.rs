//! Controllers, zones, targets and networks made of one seed.
