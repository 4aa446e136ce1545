use super::*;
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

struct Files {
    dir: TempDir,
}

impl Files {
    fn new() -> Self {
        Self {
            dir: TempDir::new().unwrap(),
        }
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

fn pair() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec!["localhost".into()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    (cert.pem(), key.serialize_pem())
}

fn tls(cert: &Path, key: &Path, client_ca: Option<&Path>) -> Result<Tls, TlsError> {
    let files = TlsSettings {
        cert: cert.to_owned(),
        key: key.to_owned(),
        client_ca: client_ca.map(Path::to_owned),
        client_crl: None,
    };
    Tls::load("http.tls", files)
}

fn error(cert: &Path, key: &Path, client_ca: Option<&Path>) -> String {
    match tls(cert, key, client_ca) {
        Ok(_) => panic!("the files can be used"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_chain_with_its_key_is_accepted() {
    let files = Files::new();
    let (cert, key) = pair();
    let cert = files.write("cert.pem", &cert);
    assert!(tls(&cert, &files.write("key.pem", &key), Some(&cert)).is_ok());
}

#[test]
fn an_unusable_revocation_list_is_named_with_its_file() {
    let files = Files::new();
    let (cert, key) = pair();
    let cert = files.write("cert.pem", &cert);
    let mut settings = TlsSettings {
        key: files.write("key.pem", &key),
        client_ca: Some(cert.clone()),
        client_crl: None,
        cert: cert.clone(),
    };
    let no_list = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
    for (list, says) in [
        (files.dir.path().join("absent.pem"), "http.tls.client_crl: cannot read"),
        (cert, "cert.pem holds no revocation list"),
        (files.write("no-list.pem", no_list), "no-list.pem cannot be used"),
    ] {
        settings.client_crl = Some(list);
        let error = Tls::load("http.tls", settings.clone()).err().unwrap().to_string();
        assert!(error.contains(says), "{error}\nlacks: {says}");
    }
    settings.client_ca = None;
    let error = Tls::load("api.tls", settings).err().unwrap().to_string();
    assert!(
        error.contains("api.tls.client_crl: it does nothing without client_ca"),
        "{error}"
    );
}

#[test]
fn an_unusable_file_is_named() {
    let files = Files::new();
    let (cert, key) = pair();
    let (_, other_key) = pair();
    let good_cert = files.write("cert.pem", &cert);
    let good_key = files.write("key.pem", &key);
    let absent = files.dir.path().join("absent.pem");
    let empty = files.write("empty.pem", "");

    for (error, says) in [
        (error(&absent, &good_key, None), "http.tls.cert: cannot read"),
        (error(&good_cert, &absent, None), "http.tls.key: cannot read"),
        (error(&good_key, &good_key, None), "key.pem contains no certificate"),
        (error(&empty, &good_key, None), "empty.pem contains no certificate"),
        (error(&good_cert, &good_cert, None), "cert.pem contains no private key"),
        (
            error(&good_cert, &files.write("other.pem", &other_key), None),
            "other.pem and the first certificate in",
        ),
        (error(&good_cert, &good_key, Some(&empty)), "http.tls.client_ca: "),
        (
            error(&good_cert, &good_key, Some(&good_key)),
            "key.pem contains no certificate",
        ),
    ] {
        assert!(error.contains(says), "{error}\nlacks: {says}");
    }
}

#[test]
fn the_error_about_a_damaged_or_encrypted_key_quotes_nothing_of_it() {
    let files = Files::new();
    let (cert, key) = pair();
    let cert = files.write("cert.pem", &cert);
    let secret = key.lines().nth(1).unwrap();

    let damaged = error(
        &cert,
        &files.write("damaged.pem", &key.replacen(&secret[..4], "!!!!", 1)),
        None,
    );
    assert!(damaged.contains("damaged.pem is damaged"), "{damaged}");
    let cut = error(
        &cert,
        &files.write("cut.pem", &format!("-----BEGIN {secret}\n{key}")),
        None,
    );
    for error in [&damaged, &cut] {
        assert!(!error.contains(&secret[8..]), "{error}");
    }
    let encrypted = error(
        &cert,
        &files.write("encrypted.pem", &key.replace("PRIVATE", "ENCRYPTED PRIVATE")),
        None,
    );
    assert!(encrypted.contains("openssl pkey"), "{encrypted}");
}

#[test]
fn the_expiry_of_the_certificate_in_use_is_a_metric() {
    let (files, key) = (Files::new(), KeyPair::generate().unwrap());
    let valid_until = |year| {
        let mut params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        files.write("cert.pem", &params.self_signed(&key).unwrap().pem())
    };
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let reported = |seconds: &str| {
        let line = format!("trunkd_tls_expiry_timestamp_seconds{{section=\"http.tls\"}} {seconds}\n");
        let text = recorder.handle().render();
        assert!(text.contains(&line), "{text}");
    };
    ::metrics::with_local_recorder(&recorder, || {
        let key = files.write("key.pem", &key.serialize_pem());
        let tls = tls(&valid_until(2030), &key, None).unwrap();
        reported("1893456000");
        files.write("cert.pem", "");
        assert!(tls.reload().is_err());
        reported("1893456000");
        valid_until(2031);
        tls.reload().unwrap();
        reported("1924992000");
    });
}
