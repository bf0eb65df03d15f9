//! The fence, the intent and the batch in every order of a bounded model.
