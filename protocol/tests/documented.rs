//! Goal: the table of `docs/PROTOCOL.md` is the table of the code. Method: write the rows as the page should have them
//! and compare.

use protocol::versions::APIS;

#[test]
fn the_page_lists_what_is_served() {
    let page = include_str!("../../docs/PROTOCOL.md");
    let section = page.split("\n## ").find(|section| section.starts_with("APIs"));
    let rows = section.expect("the page has the section").lines();
    let came: Vec<&str> = rows.filter(|line| line.starts_with("| ")).skip(1).collect();
    let expected = APIS.iter().map(|api| {
        format!(
            "| {} | {} | {} to {} | {} to {} | {} |",
            api.key.wire(),
            api.name,
            api.min,
            api.max,
            api.advertised_min,
            api.max,
            api.flexible_from
        )
    });
    assert_eq!(came, expected.collect::<Vec<_>>());
}
