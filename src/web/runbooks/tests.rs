use super::*;

#[test]
fn headings_have_the_anchors_of_the_docs_and_links_stay_on_the_page() {
    let html = rendered("# A title\n\nSee [there](#a-title) and [other.md](other.md), `a < b`.\n");
    assert_eq!(
        html,
        "<h1 id=\"a-title\">A title</h1>\n<p>See <a href=\"#a-title\">there</a> and other.md, \
         <code>a &lt; b</code>.</p>\n"
    );
}

#[test]
fn what_pages_link_to_is_there_in_both_languages() {
    let sources = crate::web::texts::tests::sources();
    let links: Vec<_> = sources
        .iter()
        .flat_map(|text| text.split("\"/runbooks#").skip(1))
        .collect();
    assert!(links.len() > 10);
    for link in links {
        let anchor = link.split('"').next().unwrap();
        for text in [&*ENGLISH, &*CHINESE] {
            assert!(text.contains(&format!("<h3 id=\"{anchor}\">")), "{anchor}");
        }
    }
}
