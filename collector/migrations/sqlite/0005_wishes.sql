-- What its submission asked for, as JSON; none where it asked for nothing.
ALTER TABLE job ADD COLUMN wishes TEXT;
