//! Frames as SVG files, as the screenshots are drawn.

#[path = "../../examples/screenshots/picture.rs"]
mod picture;

pub use picture::{Background, svg};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

#[test]
fn a_run_of_one_style_is_one_text_and_markup_is_escaped() {
    let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 1));
    buffer.set_string(0, 0, "a<b & ", Style::new().fg(Color::LightRed));
    let svg = svg(&buffer, Background::Dark);
    assert_eq!(svg.matches("<text").count(), 1);
    assert!(svg.contains("a&lt;b &amp;") && svg.contains("#f2777a"));
}

#[test]
fn reversed_cells_have_a_background() {
    let mut buffer = Buffer::empty(Rect::new(0, 0, 4, 1));
    buffer.set_string(0, 0, "ab", Style::new().add_modifier(Modifier::REVERSED));
    let (text, paper) = ("#23272e", "#fbfbfa");
    let svg = svg(&buffer, Background::Light);
    assert!(svg.contains(&format!("width=\"18\" height=\"19\" fill=\"{text}\"")));
    assert!(svg.contains(&format!("fill=\"{paper}\">ab")));
}

#[test]
fn wide_characters_keep_their_columns() {
    let mut buffer = Buffer::empty(Rect::new(0, 0, 6, 1));
    buffer.set_string(0, 0, "東x", Style::new());
    let svg = svg(&buffer, Background::Dark);
    let places: Vec<f64> =
        svg.split("<text x=\"").skip(1).filter_map(|text| text.split(['"', ' ']).next()?.parse().ok()).collect();
    assert_eq!(places, [12.0, 30.0], "{svg}");
}
