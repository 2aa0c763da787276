//! Users: registering, and oneself.

mod me;
mod register;
