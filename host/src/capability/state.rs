//! `cardcage:host/state`: a few values in the record of a deployment. Given to every backend.

pub mod guest;
