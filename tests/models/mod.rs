//! Layers, losses, optimizers and whole networks.

mod augment;
mod branches;
mod layers;
mod losses;
mod network;
mod neurons;
mod nn;
mod norms;
mod one_forward;
mod optim;
mod sequences;
mod sizes;
mod steps;
