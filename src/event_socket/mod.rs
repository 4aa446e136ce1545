//! event_socket
