//! Joins the engine with the world in one select loop.
