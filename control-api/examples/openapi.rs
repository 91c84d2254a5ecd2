//! Prints the OpenAPI document: `cargo run -p geopush-control-api --example openapi > openapi.json`.

fn main() {
    println!("{:#}", geopush_control_api::openapi());
}
