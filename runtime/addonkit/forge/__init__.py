"""The Forge manifest of an add-on's plugins: building, checking, parity with the descriptor, approvals."""
