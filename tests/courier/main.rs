//! The courier against receivers that misbehave in every way we know of, over real sockets.

mod receiver;
mod world;

mod answers;
