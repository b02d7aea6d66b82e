//! What the clients of all services share: TLS, a config's password, a connection to MariaDB or MySQL, and the words for what
//! goes wrong with them.

pub mod http;
pub mod mysql;
mod secret;
pub mod text;
mod tls;

pub use secret::reveal;
pub use tls::init_tls;
