-- Whose token it was submitted with; none where no tokens were asked for.
ALTER TABLE job ADD COLUMN owner TEXT;
