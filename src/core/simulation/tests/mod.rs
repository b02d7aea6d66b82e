mod play;
mod scenarios;
