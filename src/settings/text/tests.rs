use super::*;

#[test]
fn sizes_are_read_with_and_without_units() {
    let read = |text| ByteSize::from_text(text).map(|size| size.0);
    assert_eq!(read("65536"), Ok(65536));
    assert_eq!(read("64KiB"), Ok(65536));
    assert_eq!(read("64 kb"), Ok(64_000));
    assert_eq!(read("1MiB"), Ok(1 << 20));
    for wrong in [
        "",
        "KiB",
        "64 parsecs",
        "-1",
        "99999999999999999999",
        "18446744073709551615k",
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn hosts_are_read_by_name_and_number() {
    let read = |text| HostPort::from_text(text).map(|address| address.to_string());
    assert_eq!(read("127.0.0.1:8021"), Ok("127.0.0.1:8021".to_owned()));
    assert_eq!(read("FS1.example.net:8021"), Ok("fs1.example.net:8021".to_owned()));
    assert_eq!(read("[::1]:8021"), Ok("[::1]:8021".to_owned()));
    for wrong in [
        "127.0.0.1",
        "::1:8021",
        ":8021",
        "fs1:",
        "fs1:99999",
        "fs 1:8021",
        "http://fs1:8021",
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}
