"""The spec: what the user wrote, validated once. It knows no database."""
