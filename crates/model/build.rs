//! Generates the wire types from `proto/`, without `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = "geopush/v1/geopush.proto";
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile([file], ["proto"])?;
    prost_build::Config::new().bytes(["."]).compile_fds(descriptors)?;
    Ok(())
}
