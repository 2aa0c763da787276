//! QR codes (ISO/IEC 18004) as SVG: drawn where somebody looks at one, since drawing takes longer than a payment.

use qrcode::QrCode;
use qrcode::render::svg;

/// The side in pixels, at least; it scales without loss.
const SIDE: u32 = 240;

/// A text as a QR code in SVG; none if it is too long for one.
pub fn svg(text: &str) -> Option<String> {
    let code = QrCode::new(text).ok()?;
    Some(code.render::<svg::Color<'_>>().min_dimensions(SIDE, SIDE).build())
}
