"""Drawing on arrays: text, colour scales, the block grid on a panel."""
