use super::*;

fn rows(dump: &str, table: &str) -> Vec<Vec<Option<String>>> {
    let file = "dump.sql".into();
    let mut tables = read(&file, dump, &["v_gateways", "v_domains"]).unwrap();
    let rows = tables.remove(table).map(|table| table.rows).unwrap_or_default();
    rows.into_iter().map(|row| row.cells).collect()
}

fn some(cells: &[&str]) -> Vec<Option<String>> {
    cells.iter().map(|cell| Some((*cell).to_owned())).collect()
}

#[test]
fn the_rows_of_copy_are_read_with_their_escapes() {
    let dump = "--\n-- PostgreSQL database dump\n--\n\\restrict abc\nSET x = 'a;b';\n\
                COPY public.v_other (a) FROM stdin;\nCOPY public.v_gateways (a) FROM stdin;\n\\.\n\
                COPY public.v_gateways (gateway_uuid, \"gateway\", password) FROM stdin;\n\
                u1\tone\tp\\\\q\\tr's\nu2\ttwo\t\\N\n\\.\n\n\\unrestrict abc\n";
    let read = rows(dump, "v_gateways");
    assert_eq!(read[0], some(&["u1", "one", "p\\q\tr's"]));
    assert_eq!(read[1], [Some("u2".to_owned()), Some("two".to_owned()), None]);
    assert_eq!(read.len(), 2);
}

#[test]
fn inserts_are_read_with_named_columns_or_those_of_create_table() {
    let dump = "CREATE TABLE public.v_gateways (\n\
          gateway_uuid uuid NOT NULL,\n\
          \"gateway\" text DEFAULT 'x,y'::text,\n\
                price numeric(10,2),\n CONSTRAINT k PRIMARY KEY (gateway_uuid)\n);\n\
                INSERT INTO public.v_gateways VALUES ('u1', 'it''s', 1.5);\n\
                INSERT INTO v_gateways (price, gateway_uuid) VALUES (NULL, 'u2'::uuid), (-3, E'u\\n3');\n";
    let read = rows(dump, "v_gateways");
    assert_eq!(read[0], some(&["u1", "it's", "1.5"]));
    assert_eq!(read[1], [Some("u2".to_owned()), None, None]);
    assert_eq!(read[2], [Some("u\n3".to_owned()), None, Some("-3".to_owned())]);
}

#[test]
fn a_text_in_another_table_is_no_statement() {
    let dump = "INSERT INTO v_notes VALUES ('\nINSERT INTO v_gateways (a) VALUES (''x'');\n');\n\
                CREATE FUNCTION f() AS $body$ INSERT INTO v_gateways (a) VALUES ('x'); $body$;\n\
                /* INSERT INTO v_gateways (a) VALUES ('x'); */\n";
    assert!(rows(dump, "v_gateways").is_empty());
}

#[test]
fn what_makes_no_sense_is_an_error_with_its_line() {
    let file: Arc<str> = "dump.sql".into();
    let refused = |dump: &str| read(&file, dump, &["v_gateways"]).err().unwrap().to_string();
    let nameless = refused("\nINSERT INTO v_gateways VALUES ('u1');");
    assert!(nameless.starts_with("dump.sql:2: the INSERT names no columns"));
    assert!(refused("COPY v_gateways (a, b) FROM stdin;\nx\n\\.\n").starts_with("dump.sql:2: the row has 1 values"));
    assert!(refused("SELECT 'x").starts_with("dump.sql:1: a text has no closing quote"));
}
