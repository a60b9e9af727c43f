"""What is best: integer programs as plain data, solved by interchangeable backends; no LLM knowledge lives here."""
