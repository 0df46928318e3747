"""From measurements to the rows they are judged by, tables, figures and files."""
