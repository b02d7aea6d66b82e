//! Move a VM. So far the only driver is the simulator, which is pure and stands in
//! [`core::simulation`](crate::core::simulation); drivers that touch the world come here.
